class_name LiveBoard
extends Node
## A board of a tornado_board server, live, and the submission of scores to it. For Godot 4.
##
## Put it into a scene (or autoload it), set its exports, and connect its signals:
## [codeblock]
## $LiveBoard.updated.connect(func(board): show_players(board.players))
## var told: Dictionary = await $LiveBoard.submit("ada", 120)
## [/codeblock]

## The board as it is now, with its best players: {id, name, players: [{id, name, score}, ...]}.
signal updated(now: Dictionary)
## The final board of a season that is over.
signal season_ended(last: Dictionary)
## Events were missed for good; the board as it is follows. Whoever keeps a history starts it anew.
signal history_lost(reason: String)
## There is a connection, or there is none any more.
signal connection_changed(live: bool)
## The board was deleted.
signal deleted

const FIRST_PAUSE := 1.0
const LONGEST_PAUSE := 30.0
## Seconds that a connection may take to be made, and a request to be answered.
const PATIENCE := 10.0
## What may wait to be read, in bytes. The engine drops what is more, and says nothing.
const INBOUND_BYTES := 1 << 20
const MOST_TRIES := 6
## Answers after which the same request may succeed; 0 is none, 409 that the last one is under way.
const PASSING: Array[int] = [0, 408, 409, 429, 502, 503, 504]
const BOARD_DELETED := 4404

## The server's address.
@export var server := "http://localhost:8888"
## The board's id.
@export var board := "demo"

## Your game's login sets it: a token for this player's scores. Never one that is built in, which
## everybody has who has the game.
var token := ""

var _socket: WebSocketPeer
var _last_id := ""
var _live := false
var _pause := FIRST_PAUSE
## Until the next try while there is no socket, until this one is given up while it connects.
var _left := 0.0


func _ready() -> void:
	process_mode = PROCESS_MODE_ALWAYS  # the board goes on while the game is paused


func _process(delta: float) -> void:
	_left -= delta
	if _socket == null:
		if _left <= 0:
			_open()
		return
	_socket.poll()
	while _socket.get_available_packet_count() > 0:
		_take(_socket.get_packet().get_string_from_utf8())
	var ready_state := _socket.get_ready_state()
	if ready_state == WebSocketPeer.STATE_OPEN:
		_set_live(true)
	elif ready_state == WebSocketPeer.STATE_CLOSED:
		_closed(_socket.get_close_code())
	elif ready_state == WebSocketPeer.STATE_CONNECTING and _left <= 0:
		_lost()


func _exit_tree() -> void:
	if _socket != null:
		_socket.close()


## Submits a score. It is sent again where there is no answer, or one that passes, and counts once.
##
## Returns {ok: true, rank, of, score, changed, ...}, or {ok: false, status, detail}; a [param key]
## that the game keeps with the score lets it submit it again at its next start.
func submit(player: String, score: float, player_name := "", key := "") -> Dictionary:
	var submission := {"score": score}
	if player_name != "":
		submission["name"] = player_name
	if key == "":
		key = Crypto.new().generate_random_bytes(16).hex_encode()
	var url := "%s/boards/%s/players/%s/score/" % [_base(), board.uri_encode(), player.uri_encode()]
	var pause := FIRST_PAUSE
	var told := {}
	for _try in MOST_TRIES:
		told = await _post(url, JSON.stringify(submission), key)
		if told.ok or not int(told.status) in PASSING:
			return told
		var wait := maxf(pause * randf_range(0.5, 1.0), told.retry_after)
		pause = minf(pause * 2.0, LONGEST_PAUSE)
		await get_tree().create_timer(wait).timeout
	return told


func _post(url: String, body: String, key: String) -> Dictionary:
	var headers := PackedStringArray(["Content-Type: application/json", "Idempotency-Key: " + key])
	if token != "":
		headers.append("Authorization: Bearer " + token)
	var request := HTTPRequest.new()
	request.timeout = PATIENCE
	add_child(request)
	var error := request.request(url, headers, HTTPClient.METHOD_POST, body)
	if error != OK:
		request.queue_free()
		return {"ok": false, "status": -1, "detail": error_string(error)}
	var done: Array = await request.request_completed  # result, status, headers, body
	request.queue_free()
	var status: int = done[1] if done[0] == HTTPRequest.RESULT_SUCCESS else 0
	var told := _parsed(done[3].get_string_from_utf8())
	told.ok = status == 200 or status == 201
	if not told.ok:
		told.status = status
		told.detail = told.get("detail", "There was no answer.")
		told.retry_after = _retry_after(done[2])
	return told


func _retry_after(headers: PackedStringArray) -> float:
	for header in headers:
		if header.to_lower().begins_with("retry-after:"):
			return clampf(header.get_slice(":", 1).to_float(), 0.0, 60.0)
	return 0.0


func _open() -> void:
	var url := "%s/boards/%s/events/" % ["ws" + _base().trim_prefix("http"), board.uri_encode()]
	if _last_id != "":
		url += "?since=" + _last_id.uri_encode()  # what was missed comes first
	_socket = WebSocketPeer.new()
	_socket.inbound_buffer_size = INBOUND_BYTES
	if token != "" and not OS.has_feature("web"):
		# Only a private board wants it. A page can set no header: see "Tickets" in docs/security.md.
		_socket.handshake_headers = PackedStringArray(["Authorization: Bearer " + token])
	_socket.set("heartbeat_interval", 20.0)  # finds dead connections, in Godots that have it
	_left = PATIENCE
	if _socket.connect_to_url(url) != OK:
		_lost()


func _take(text: String) -> void:
	var message := _parsed(text)
	_pause = FIRST_PAUSE
	match message.get("event"):
		"update":
			# An id that is null takes the last one away: going on after that would tell old things.
			_last_id = message.id if message.id is String else ""
			updated.emit(message.data)
		"season":
			_last_id = message.id if message.id is String else ""
			season_ended.emit(message.data)
		"reset":
			history_lost.emit(message.data.reason)


func _closed(code: int) -> void:
	_lost()
	if code == BOARD_DELETED:
		set_process(false)
		deleted.emit()


## The next try comes after a pause that doubles, with jitter: not all games at once.
func _lost() -> void:
	_socket = null
	_left = _pause * randf_range(0.5, 1.0)
	_pause = minf(_pause * 2.0, LONGEST_PAUSE)
	_set_live(false)


func _set_live(live: bool) -> void:
	if live != _live:
		_live = live
		connection_changed.emit(live)


func _base() -> String:
	return server.trim_suffix("/")


## The object in some JSON; an empty one for anything else, which a proxy may have said.
func _parsed(text: String) -> Dictionary:
	var json := JSON.new()
	return json.data if json.parse(text) == OK and json.data is Dictionary else {}
