from benchmarks.peers import Peer, InProcess
from benchmarks.processes import Process, python
import sys
class HubDirect(InProcess):
    name='hub'
    def start(self, folder):
        self.process = Process([sys.executable,'-B','/tmp/ht/hubpeer.py'], log=folder/'s.log')
        self.port=self.process.answer()['port']
class WholeServer(Peer):
    name='server'
    def missing(self): return 'not yet'
