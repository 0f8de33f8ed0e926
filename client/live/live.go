// Package live computes what the page of crashlab live shows of a cluster under load: replicas that
// crash and come back, calls with their attempts, and the commands of users. Use it to write
// another page or client for a live session; package session runs a session, package web serves it,
// and package page is the page itself. For experiments with intervals, use package experiment.
//
// A [Fold] takes events in the order in which they happen and computes the [State] at each tick,
// ten times a second. It has no clock, no goroutine and no I/O. [Difference] returns the difference
// between two states and [State.Apply] applies it, so that a state and all later differences give
// the current state. Memory is bounded however long a session lasts.
//
// # The protocol of the page
//
// The server, package web, serves the page and the requests below. These require the token of the
// printed URL, http://127.0.0.1:7180/#TOKEN: in the header "Authorization: Bearer TOKEN" or, for an
// EventSource, which cannot set headers, as the query ?token=TOKEN. Browsers never send the
// fragment of a URL; the page reads it from location.hash.
//
//	GET /api/events
//
// Server-sent events, each with one JSON object on one data line:
//
//	event: about     an About, once at the beginning: fields, presets and scenarios
//	event: state     a State, which replaces everything before
//	event: diff      a Diff, to be applied to the state
//
// The [About] is followed by a [State] and then by differences ([Diff]), up to ten a second. While
// nothing changes but the time, there is at least one difference a second, with only frame and
// now_us, so a longer silence means that the server is gone or the machine sleeps. A tab that reads
// too slowly misses differences and gets a state instead. An EventSource reconnects by itself and
// then gets a state. A different State.session means a different session.
//
//	GET /api/calls/LOAD/NUMBER
//
// Returns a [Call] with its attempts. The server keeps the latest 8,192 calls of each load, and of
// calls under way the attempts that have ended. The status is 404 for others.
//
//	POST /api/command
//
// Takes a [Command] as JSON, with the header "Content-Type: application/json". The reply is a
// [Done] once the command has taken effect; its [Mark] comes with the next difference.
//
// An error is a [Problem] as JSON with one of these statuses:
//
//	400  the command or a value in it is not allowed; nothing was changed
//	401  the token is missing or wrong
//	403  the request comes from another site or names another host
//	404  there is no such replica, load, scenario or call
//	409  the command is impossible at present, such as a signal to a replica without a process
//	413  the body exceeds 64 KiB
//	502  the supervisor or a replica refused the command or did not answer
//	503  too many tabs are open, or the control service is not connected
//
// The server also serves the page's own files. A content-security policy restricts the page to its
// own scripts and styles and to this server.
//
// JSON fields whose names end in _us are whole microseconds: either times since State.began or
// durations.
package live
