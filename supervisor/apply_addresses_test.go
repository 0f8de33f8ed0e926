package supervisor

import (
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// A replica that moves to the address of another, or to one that clashes with it, waits until it is
// free.
func TestApplyFreesAddressesFirst(t *testing.T) {
	at := func(addrs ...string) []spec.Group {
		return []spec.Group{group(len(addrs), restart.Policy{}, notice, func(r *spec.Replica) { r.Addr = addrs[r.Name[0]-'a'] })}
	}
	for _, tt := range []struct {
		from []string
		to   []string
		want []string
	}{
		{[]string{"x:1", "x:2", "x:3"}, []string{"x:2", "x:3", "x:4"}, []string{
			"1s stopping c/1", "1s launched c/2", "2s ready c/2", "2s stopping b/1", "2s launched b/2", "3s ready b/2",
			"3s stopping a/1", "3s launched a/2", "4s ready a/2"}},
		{[]string{"x:1", "x:2", "x:3"}, []string{"x:2", "x:1", "x:3"}, []string{
			"1s stopping a/1", "1s stopping b/1", "1s launched b/2", "2s ready b/2", "2s launched a/2", "3s ready a/2"}},
		{[]string{"x:1"}, []string{"x:2", "x:1"}, []string{"1s stopping a/1", "1s launched a/2", "2s ready a/2", "2s launched b/1"}},
		{[]string{"127.0.0.1:1", "127.0.0.1:2"}, []string{":2", ":3"}, []string{
			"1s stopping b/1", "1s launched b/2", "2s ready b/2", "2s stopping a/1", "2s launched a/2", "3s ready a/2"}},
		{[]string{"127.0.0.1:1"}, []string{"127.0.0.1:2", ":1"}, []string{"1s stopping a/1", "1s launched a/2", "2s ready a/2", "2s launched b/1"}},
	} {
		bubble(t, func(t *testing.T) {
			sim := simulate(t, of(at(tt.from...)...), &fakeSystem{ready: time.Second})
			sim.at(time.Second)
			sim.takeEvents()
			if err := sim.Apply(t.Context(), at(tt.to...)); err != nil {
				t.Fatal(err)
			}
			expect(t, sim.takeEvents(event.KindChanged, event.KindExited, event.KindStopped, event.KindAdded), tt.want...)
		})
	}
}
