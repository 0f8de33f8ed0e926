// Package output carries what replicas write to the places that want it: sinks
// that neither wait for each other nor make a replica wait for them.
//
//	process → pipe → Reader → History            (memory: the last lines, ctl logs)
//	                        → Sink → OnOutput    (one per replica)
//	                                   → Sink → stdout        (the program's; drops)
//	                                   → File  NAME.log       (written at once; may block)
//	events  → OnEvent → Sink → File events.jsonl
//	                  → Sink → stderr            (the log)
//	                  → counters                 (metrics; never block)
//
// Package supervisor has the upper half: a [Hub] opens a [Reader] for each
// incarnation, whose goroutine reads the pipe, and each replica's [Sink] calls
// OnOutput. Package main has the lower half. Calls go from left to right only;
// what is full says so by its return, by a wait that ends with the process, or
// by a count of lost lines, see [Losses].
//
// A Sink has a goroutine while it has something to write, and only that
// goroutine meets a writer that blocks. Everyone else meets a bounded queue.
package output
