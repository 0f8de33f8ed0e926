//go:build linux

package record

import (
	"path/filepath"
	"testing"
)

func TestReadOfHalfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	w, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, err := NewReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want := Record{Kind: Exit, Child: "a-1", PID: 12, Started: 34, At: 56, Bytes: 78}
	for _, step := range []struct {
		text string
		want []Record
	}{
		{"exit a-1 12 3", nil},
		{"4 56 78\nexit a-1", []Record{want}},
		{" 12 34 56 78\n", []Record{want}},
	} {
		if _, err := w.WriteString(step.text); err != nil {
			t.Fatal(err)
		}
		got, err := r.Read()
		if err != nil || len(got) != len(step.want) || len(got) > 0 && got[0] != step.want[0] {
			t.Errorf("after %q: %+v, %v: want %+v", step.text, got, err, step.want)
		}
	}
	if _, err := w.WriteString("exit a-1\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Read(); err == nil {
		t.Errorf("read %+v from a line that lacks its end", got)
	}
}
