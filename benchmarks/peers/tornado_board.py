from benchmarks.peers import Peer
class HubDirect(Peer):
    name='hub'
class WholeServer(Peer):
    name='server'
