package process

import (
	"slices"
	"strings"
	"testing"
)

func TestSaysReady(t *testing.T) {
	for message, want := range map[string]bool{
		"READY=1": true, "READY=1\n": true, "STATUS=x\nREADY=1": true, "READY=1\nMAINPID=3": true,
		"": false, "READY=0": false, "READY=12": false, "STATUS=READY=1": false, "XREADY=1": false,
	} {
		if got := saysReady([]byte(message)); got != want {
			t.Errorf("message %q says ready: %v", message, got)
		}
	}
}

func FuzzSaysReady(f *testing.F) {
	f.Add([]byte("STATUS=up\nREADY=1\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if wanted := slices.Contains(strings.Split(string(message), "\n"), "READY=1"); saysReady(message) != wanted {
			t.Errorf("message %q says ready: %v", message, !wanted)
		}
	})
}
