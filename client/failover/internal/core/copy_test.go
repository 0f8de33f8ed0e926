package core

import (
	"fmt"
	"testing"
)

// Copies of a call are independent, however many replicas they have tried: decisions, hedges and
// retractions of one do not affect the other.
func TestCopiedCallsAreIndependent(t *testing.T) {
	for _, n := range []int{3, 8, 9, 12, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			cs := NewCandidates(replicasOf(n, "abcdefghijklmnopqrst"[:n])...)
			r := &Rules{Rounds: 3, Idempotent: true}
			var c Call
			for step := range 3*n + 2 {
				first, second := c, c
				a, b := first.Next(r, anytime, cs), second.Next(r, anytime, cs)
				if a != b {
					t.Fatalf("step %d: the copies decide %+v and %+v, want the same", step+1, a, b)
				}
				if d := c.Next(r, anytime, cs); d != a {
					t.Fatalf("step %d: the call decides %+v after its copies decided %+v, want the same", step+1, d, a)
				}
				c.Note(Result{Sent: true})
			}
		})
	}
}
