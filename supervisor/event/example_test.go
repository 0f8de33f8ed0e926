package event_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"example.com/crashlab/supervisor/event"
)

// Events that a supervisor has written are read one by one.
func ExampleEvent_UnmarshalJSON() {
	file := strings.NewReader(`
		{"v":1,"seq":7,"time":"2026-01-02T03:04:04Z","mono_ns":0,"kind":"ready","replica":"a","incarnation":2,"pid":4711}
		{"v":1,"seq":8,"time":"2026-01-02T03:04:05Z","mono_ns":1000000000,"kind":"exited","replica":"a","incarnation":2,
		 "pid":4711,"exit":{"code":1,"uptime_ms":1200.5},"next":{"relaunch":true,"delay_ms":500}}`)
	for d := json.NewDecoder(file); ; {
		var e event.Event
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Elapsed, e.Replica, e.Kind)
		if e.Kind == event.KindExited {
			fmt.Println(e.Exit, "after", e.Exit.Uptime, "and relaunched after", e.Next.Delay)
		}
	}
	// Output:
	// 0s a ready
	// 1s a exited
	// exit code 1 after 1.2005s and relaunched after 500ms
}
