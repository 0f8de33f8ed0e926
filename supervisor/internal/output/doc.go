// Package output carries the output of replicas, and events, to sinks that do not wait for each
// other:
//
//	process → pipe → Reader → History            (memory: the last lines, ctl logs)
//	                        → Sink → OnOutput    (one per replica)
//	                                   → Sink → stdout        (the program's; drops)
//	                                   → File  NAME.log       (written at once; may block)
//	events  → OnEvent → Sink → File events.jsonl
//	                  → Sink → stderr            (the log)
//	                  → counters                 (metrics; never block)
//
// Package supervisor has the upper half: a [Hub] opens a [Reader] for each incarnation, whose
// goroutine reads the pipe, and each replica's [Sink] calls OnOutput. Package report of
// cmd/supervisor has the lower half. Calls go from left to right only. A stage that is full returns
// an error, blocks, but not beyond the end of the replica's process, or counts the lines that it
// drops, see [Losses].
//
// A Sink has a goroutine while it has something to write. Only that goroutine can be blocked by the
// writer; all others put lines into a bounded queue.
package output
