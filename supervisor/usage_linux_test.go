package supervisor

import (
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/restart"
)

const burnt, filled = 300 * time.Millisecond, 64 << 20

func init() {
	parts["burn"] = func() {
		memory := make([]byte, filled)
		for used := time.Duration(0); used < burnt; {
			for i := 0; i < len(memory); i += 512 {
				memory[i]++
			}
			var u syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
			used = time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
		report()
		linger()
		_ = memory[0]
	}
}

// The usage of a replica includes that of its descendants.
func TestUsage(t *testing.T) {
	c := one(child("parent", as("burn")...), restart.Policy{})
	c.Stay = true
	r := start(t, c)
	r.line("a up 1 %d", new(int))
	s := r.List()[0]
	u, known := UsageOf(s)
	if least := burnt - 20*time.Millisecond; !known || u.CPU < least || u.Memory < filled {
		t.Errorf("%v, %v, want %v and %d bytes or more", u, known, least, filled)
	}
	if err := r.Stop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if u, known := UsageOf(s); known {
		t.Errorf("after the exit the usage is %v", u)
	}
	if u, known := UsageOf(r.List()[0]); known {
		t.Errorf("without a process the usage is %v", u)
	}
}
