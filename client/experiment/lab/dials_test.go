package lab

import (
	"context"
	"testing"
	"time"
)

// Each crash makes the client dial until it is connected again: most dials are refused, and the
// last two are not.
func TestDials(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: half a second of real clusters")
	}
	t.Parallel()
	l := Lab{Counterd: counterd}
	connected, refused, err := l.Dials(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	if len(connected) == 0 || len(connected) > 5 || len(refused) == 0 {
		t.Errorf("connected %v, refused %v: want up to five, and some", connected, refused)
	}
	for _, d := range append(connected, refused...) {
		if d <= 0 || d > time.Minute {
			t.Errorf("a dial took %v", d)
		}
	}
}

func TestDialsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := Lab{Counterd: counterd}
	if _, _, err := l.Dials(ctx, 5); err == nil {
		t.Error("it went on")
	}
}
