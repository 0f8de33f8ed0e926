package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestConsoleAligns(t *testing.T) {
	var b bytes.Buffer
	c := newConsole(&b, false)
	c.align("a", "bb")
	c.write("a", []byte("1\n"))
	c.write("cccc", []byte("2\n"))
	c.write("a", []byte("\n"))
	c.text("ready\n\n")
	c.sink.Close(patience)
	if got, want := b.String(), "a  | 1\ncccc | 2\na    | \nready\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// As with 2>&1: long lines of both remain whole in one file.
func TestConsoleAndLogInOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	stdout := openFile(t, path)
	stderr := openFile(t, path) // another file description of the same file
	c := newConsole(stdout, false)
	log := hclog.New(&hclog.LoggerOptions{Output: &c.sink, DisableTime: true})
	if !c.shares(stderr) || c.shares(os.Stderr) {
		t.Error("the sink is shared with another file")
	}
	const n = 50 // few enough for both buffers
	long := strings.Repeat("x", 20_000)
	var writing sync.WaitGroup
	writing.Go(func() {
		for range n {
			c.write("a", []byte(long+"\n"))
		}
	})
	writing.Go(func() {
		for range n {
			log.Info(long)
		}
	})
	writing.Wait()
	c.sink.Close(patience)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[string]int)
	for line := range strings.Lines(string(text)) {
		count[line]++
	}
	if count["a | "+long+"\n"] != n || count["[INFO]  "+long+"\n"] != n || len(count) != 2 {
		t.Errorf("%d different lines, want %d each of two", len(count), n)
	}
}

func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// JSON from hclog is shown as hclog's text.
func TestChildsLogIsShownAsText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.FixedZone("", 3600))
	var asJSON, asText bytes.Buffer
	options := hclog.LoggerOptions{Name: "counterd", Level: hclog.Trace, TimeFn: func() time.Time { return at }, Output: &asText}
	plain := hclog.New(&options)
	options.Output, options.JSONFormat = &asJSON, true
	child := hclog.New(&options)
	for _, args := range [][]any{
		nil,
		{"addr", "127.0.0.1:7101", "n", 3, "ok", true, "ratio", 0.25, "text", `two "words" <x>`, "z", ""},
		{"big", uint64(1<<63 + 1), "many", []any{1, "b"}},
		{"trace", "one\n\ttwo\nthree"},
	} {
		for level := hclog.Trace; level <= hclog.Error; level++ {
			for _, message := range []string{"listening", "two words: & more", ""} {
				asJSON.Reset()
				asText.Reset()
				child.Log(level, message, args...)
				plain.Log(level, message, args...)
				want := ""
				for line := range strings.Lines(asText.String()) {
					want += "a | " + line
				}
				var got bytes.Buffer
				c := newConsole(&got, false)
				c.write("a", append(bytes.TrimSpace(asJSON.Bytes()), '\n'))
				c.sink.Close(patience)
				if got.String() != want {
					t.Errorf("got\n%swant\n%s", got.String(), want)
				}
			}
		}
	}
}

func TestOtherLinesAreShownAsTheyAre(t *testing.T) {
	for _, line := range []string{
		"", "\tat x.go:3 \r", "{", `{"@level":"info"`, `{"@level":"loud","@message":"x"}`, `{"@level":3}`, `{"level":"info"}`,
		`{"@level":"info"} {"@level":"info"}`, `["@level"]`, "\xff\x00",
	} {
		var got bytes.Buffer
		c := newConsole(&got, false)
		c.write("a", []byte(line+"\n"))
		c.sink.Close(patience)
		if got.String() != "a | "+line+"\n" {
			t.Errorf("got %q for %q", got.String(), line)
		}
	}
}

func TestLinesAsJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	plain := func(text string) string {
		return `{"@message":"` + text + `","@timestamp":"2026-01-02T03:04:05.678901Z","replica":"a"}`
	}
	for line, want := range map[string]string{
		`{"@level":"warn","n":12345678901234567890}`: `{"replica":"a","@level":"warn","n":12345678901234567890}`,
		`{"msg":"of another logger"}`:                `{"replica":"a","msg":"of another logger"}`,
		`{"@level":"info","replica":"own"}`:          `{"@level":"info","replica":"own"}`,
		`{}`:                                         `{"replica":"a"}`,
		`{ "x": {"replica": 1} } `:                   `{"replica":"a", "x": {"replica": 1} } `,
		"\tat <x> \"y\"":                             plain(`\tat <x> \"y\"`),
		`{"x"`:                                       plain(`{\"x\"`),
		`null`:                                       plain(`null`),
		`{} {}`:                                      plain(`{} {}`),
		"":                                           plain(""),
		"\xff":                                       plain(`\ufffd`),
	} {
		var got bytes.Buffer
		new(lineFormat).json(&got, "a", []byte(line), at)
		if got.String() != want+"\n" {
			t.Errorf("%q: got %swant %s", line, got.String(), want)
		}
	}
}
