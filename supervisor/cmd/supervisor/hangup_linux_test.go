package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"example.com/crashlab/supervisor/commandline/commandlinetest"
	"example.com/crashlab/supervisor/internal/process/processtest"
)

// A supervisor with a file stops when its terminal goes away: that SIGHUP does not mean reload.
func TestEndOfTheTerminalStops(t *testing.T) {
	master, slave := commandlinetest.Terminal(t, 80)
	text := "replicas: 1\ncommand: [" + os.Args[0] + "]\n"
	p := prepare(t, "serve", "--config", write(t, text))
	p.ExtraFiles = []*os.File{slave}
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	p.launch()
	pids := p.pids(1)
	p.reload(text, "[INFO]  supervisor: reloaded")
	master.Close()
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if !strings.Contains(p.stderr.text(), "signal=SIGHUP") || processtest.Alive(pids[0]) {
		t.Errorf("not stopped in order")
	}
}
