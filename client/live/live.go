// Package live makes the state of a page out of what happens in a cluster under load: replicas that
// crash and come back, calls with their attempts, and the commands of its users.
//
// A [Fold] takes events in the order in which they happen and gives the [State] at each tick, ten
// times a second. It has no clock, no goroutine and no I/O. [Difference] says what one state has
// that the one before it has not, and [State.Apply] adds that: a snapshot and all differences since
// are the state. Memory is bounded, however long it goes on.
//
// # The protocol of the page
//
// The server, package web, answers the page and these requests. All but the page want the token of
// the URL that is printed, http://127.0.0.1:7180/#TOKEN: in the header "Authorization: Bearer
// TOKEN" or, for an EventSource, which can set none, as the query ?token=TOKEN. The fragment of a
// URL is never sent, so the page reads it from location.hash.
//
//	GET /api/events
//
// Server-sent events, each with one JSON object on one data line:
//
//	event: about     [About], once, at first: fields, presets and scenarios
//	event: state     [State]: takes the place of all that was known
//	event: diff      [Diff]: to be applied to the state, see there
//
// A state follows about. From then on differences come ten times a second, or none while nothing
// changes but the time; then there is a difference with only frame and now_us at least once a
// second, so silence for longer means that the server is gone or the machine sleeps. A tab that
// reads too slowly misses differences and gets a state. An EventSource reconnects by itself, and
// gets a state again. Session differs when the server is another one.
//
//	GET /api/calls/LOAD/NUMBER
//
// The way of a call, as a [Call]. The latest 8,192 calls of each load are kept, and calls under way
// as far as attempts have ended. 404 for others.
//
//	POST /api/command
//
// A [Command] as JSON, with the header "Content-Type: application/json". The reply is a [Done] once
// the command has taken effect; its [Mark] comes with the next difference. [Command] lists what
// there is.
//
// Errors are a [Problem] as JSON with a status:
//
//	400  the command or a value in it is not allowed: nothing was changed
//	401  no token, or another one
//	403  the request comes from another site, or under another name of the host
//	404  there is no such replica, load, scenario or call
//	409  it cannot be done as things are, such as a signal to a replica without a process
//	413  the body has more than 64 KiB
//	502  the supervisor or a replica refused it, or did not answer
//	503  too many tabs, or the control service is not connected
//
// The page's own files are served beside these. A content-security policy lets it run scripts and
// styles of those files alone, and connect to nothing else.
//
// Names of fields end in _us where they are whole microseconds: moments since State.began, and
// durations.
package live
