package lab

import (
	"context"
	"testing"
	"time"
)

// After each crash the client dials until it is connected again; all dials but the last two are
// refused.
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
		t.Errorf("connected %v, refused %v: want one to five connected and at least one refused", connected, refused)
	}
	for _, d := range append(connected, refused...) {
		if d <= 0 || d > time.Minute {
			t.Errorf("a dial took %v, want more than 0 and at most a minute", d)
		}
	}
}

func TestDialsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := Lab{Counterd: counterd}
	if _, _, err := l.Dials(ctx, 5); err == nil {
		t.Error("Dials succeeded with a canceled context")
	}
}
