package output

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// BenchmarkNeighbour measures how long a line takes from the pipe to the file while another replica
// writes as fast as it can to its own file.
func BenchmarkNeighbour(b *testing.B) {
	dir := b.TempDir()
	files := map[string]*File{}
	for _, name := range []string{"flood", "quiet"} {
		files[name] = &File{Path: filepath.Join(dir, name), Mode: 0o600, Size: 64 << 20, Backups: 1}
		defer files[name].Close()
	}
	written := make(chan struct{}, 1)
	h := NewHub(func(replica string, lines []byte) {
		if _, err := files[replica].Write(lines); err != nil {
			b.Error(err)
		}
		if replica == "quiet" {
			written <- struct{}{}
		}
	}, func(string, string, uint64) { b.Error("lines are lost") }, patience)
	ins := map[string]*os.File{}
	var reading sync.WaitGroup
	for name := range files {
		in, r, err := h.Open(name, "g", false)
		if err != nil {
			b.Fatal(err)
		}
		ins[name] = in
		reading.Go(r.Run)
	}
	text := numbered(0, 500, 90)
	go func() {
		for {
			if _, err := ins["flood"].Write(text); err != nil {
				return
			}
		}
	}()
	var worst time.Duration
	for b.Loop() {
		begin := time.Now()
		io.WriteString(ins["quiet"], "hello\n")
		<-written
		worst = max(worst, time.Since(begin))
	}
	b.ReportMetric(float64(worst.Microseconds()), "µs-worst")
	for _, in := range ins {
		in.Close()
	}
	reading.Wait()
	h.Close()
}
