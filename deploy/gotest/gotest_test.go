package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// module writes a module with these files, and returns its directory.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.com/m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func testFile(body string) string { return "package m\n\nimport \"testing\"\n\n" + body }

func TestSummary(t *testing.T) {
	for _, tc := range []struct {
		name    string
		files   map[string]string
		line    string
		printed []string
		absent  []string
		failed  bool
	}{
		{
			name: "all pass",
			files: map[string]string{
				"a/a_test.go": testFile(`func TestA(t *testing.T) { t.Log("chatter"); t.Run("sub", func(*testing.T) {}) }`),
				"b/b_test.go": testFile(`func TestB(t *testing.T) {}`),
				"c/c.go":      "package m\n",
			},
			line:    "3 tests passed in 2 packages in 1s; none skipped; a note",
			printed: []string{"ok  \texample.com/m/a\t", "ok  \texample.com/m/b\t"},
			absent:  []string{"chatter", "TestA", "PASS"},
		},
		{
			name: "some are skipped",
			files: map[string]string{"m_test.go": testFile(`
				func TestA(t *testing.T) { t.Log("no"); t.Skip("no browser") }
				func TestB(t *testing.T) { t.Skip("no browser") }
				func TestC(t *testing.T) { t.SkipNow() }
				func Test1(t *testing.T) { t.Skip("not root") }
				func Test2(t *testing.T) { t.Skip("not root") }
				func Test3(t *testing.T) { t.Skip("not root") }
				func Test4(t *testing.T) { t.Skip("not root") }`)},
			line: "0 tests passed in 1 package in 1s; skipped TestA, TestB (no browser); skipped TestC (no reason given); " +
				"skipped 4 tests (not root); a note",
		},
		{
			name: "one fails",
			files: map[string]string{"m_test.go": testFile(`
				func TestGood(t *testing.T) { t.Log("chatter") }
				func TestBad(t *testing.T) { t.Run("sub", func(t *testing.T) { t.Error("this is why") }) }`)},
			line:    "1 test passed in 1 package in 1s; 2 FAILED in 1 package; none skipped; a note",
			printed: []string{"this is why", "--- FAIL: TestBad", "FAIL\texample.com/m\t"},
			absent:  []string{"chatter", "=== RUN"},
			failed:  true,
		},
		{
			name:    "a panic",
			files:   map[string]string{"m_test.go": testFile(`func TestBad(t *testing.T) { panic("this is why") }`)},
			line:    "0 tests passed in 1 package in 1s; 1 FAILED in 1 package; none skipped; a note",
			printed: []string{"panic: this is why", "FAIL\texample.com/m\t"},
			failed:  true,
		},
		{
			// go test does not say which test it was.
			name: "an exit from within",
			files: map[string]string{"m_test.go": strings.Replace(testFile(`
				func TestBad(t *testing.T) { println("last words"); os.Exit(3) }`), "import", "import \"os\"\nimport", 1)},
			line:    "0 tests passed in 1 package in 1s; 0 FAILED in 1 package; none skipped; a note",
			printed: []string{"last words", "FAIL\texample.com/m\t"},
			failed:  true,
		},
		{
			name:    "no build",
			files:   map[string]string{"m_test.go": testFile(`func TestBad(t *testing.T) { nonsense() }`)},
			line:    "0 tests passed in 1 package in 1s; 0 FAILED in 1 package; none skipped; a note",
			printed: []string{"undefined: nonsense", "FAIL\texample.com/m [build failed]"},
			failed:  true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			s := newSummary(&out)
			err := run([]string{"-C", module(t, tc.files), "./..."}, s)
			if (err != nil) != tc.failed {
				t.Errorf("error %v", err)
			}
			if line := s.line(time.Second, "a note"); line != tc.line {
				t.Errorf("summary\n%s, want\n%s", line, tc.line)
			}
			for _, want := range tc.printed {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in\n%s", want, out.String())
				}
			}
			for _, bad := range tc.absent {
				if strings.Contains(out.String(), bad) {
					t.Errorf("%q in\n%s", bad, out.String())
				}
			}
		})
	}
}

func TestSplit(t *testing.T) {
	for in, want := range map[string][][]string{
		"":                       nil,
		"a b":                    {{"a", "b"}},
		"-- a b":                 {{"a", "b"}},
		"-- a -- -C d b -- -- c": {{"a"}, {"-C", "d", "b"}, {"c"}},
	} {
		if got := split(strings.Fields(in)); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
