package integration

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkBackInUse measures the time from when a relaunched replica listens, as its log says,
// until a client that calls all the time has its first reply.
func BenchmarkBackInUse(b *testing.B) {
	for _, down := range []time.Duration{500 * time.Millisecond, 3 * time.Second} {
		b.Run("down="+down.String(), func(b *testing.B) {
			c := startCluster(b, []string{"--restart-delay=" + down.String()})
			cl := newClient(b, c.target(), lenient)
			var took []time.Duration
			for n := 1; b.Loop(); n++ {
				if err := syscall.Kill(c.awaitEvent("launched", 0, n).PID, syscall.SIGKILL); err != nil {
					b.Fatal(err)
				}
				for back := false; !back; {
					reply, _ := cl.mustGet()
					back = reply.Replica == "a" && reply.Incarnation == uint64(n+1)
				}
				took = append(took, time.Since(c.listening(0, n+1)))
			}
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(took[len(took)/2]), "ms/median")
			b.ReportMetric(ms(took[len(took)-1]), "ms/max")
		})
	}
}
