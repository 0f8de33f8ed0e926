package inputfile

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestReadEnv(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vars.env")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\ufeffA=1\r\n B = x=y \nC=\"q \"\nD='\nE=\nA=2\n")
	want := map[string]string{"A": "2", "B": "x=y", "C": "q ", "D": "'", "E": ""}
	if got, err := ReadEnv(path); err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for text, want := range map[string]string{
		"A=1\nexport B=2\n": `:2: "export B=2": want NAME=VALUE, or # and a comment`,
		"=1":                `:1: "=1": want NAME=VALUE, or # and a comment`,
		"A=\x00":            `:1: "A=\x00": want NAME=VALUE, or # and a comment`,
	} {
		write(text)
		_, err := ReadEnv(path)
		if m, ok := errors.AsType[*Mistake](err); !ok || m.Error() != path+want {
			t.Errorf("got %v, want %s", err, path+want)
		}
	}
	if _, err := ReadEnv(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
