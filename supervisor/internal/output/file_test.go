package output

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func write(t *testing.T, f *File, lines string) {
	t.Helper()
	if n, err := f.Write([]byte(lines)); n != len(lines) || err != nil {
		t.Fatalf("wrote %d bytes of %d: %v", n, len(lines), err)
	}
}

func has(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s: %q, %v; want %q", filepath.Base(path), got, err, want)
	}
}

func TestFileThatIsRenamedRemovedAndTruncated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.log")
	f := &File{Path: path, Mode: 0o600}
	defer f.Close()
	write(t, f, "1\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "2\n")
	has(t, path+".1", "1\n")
	has(t, path, "2\n")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, f, "3\n")
	has(t, path, "3\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err != nil { // the file is created although there are no lines yet
		t.Fatal(err)
	}
	has(t, path, "")
	write(t, f, "4\n")
	has(t, path, "4\n")
}

// Other processes may append to the same file.
func TestFileIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.log")
	f, other := &File{Path: path, Mode: 0o600}, &File{Path: path, Mode: 0o600}
	defer f.Close()
	defer other.Close()
	for range 3 {
		write(t, f, "ours\n")
		write(t, other, "theirs\n")
	}
	has(t, path, strings.Repeat("ours\ntheirs\n", 3))
}

// The file may end with part of a line after a crash of the machine or of the program that wrote
// it.
func TestFileThatEndsInALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.log")
	if err := os.WriteFile(path, []byte(`{"seq":1}`+"\n"+`{"se`), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &File{Path: path}
	defer f.Close()
	write(t, f, `{"seq":1}`+"\n")
	write(t, f, `{"seq":2}`+"\n")
	has(t, path, `{"seq":1}`+"\n"+`{"se`+"\n"+`{"seq":1}`+"\n"+`{"seq":2}`+"\n")
}

func TestFileInAMissingDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	f := &File{Path: filepath.Join(dir, "f.log"), Mode: 0o600}
	defer f.Close()
	if n, err := f.Write([]byte("1\n")); n != 0 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, f, "2\n")
	has(t, f.Path, "2\n")
}

func TestFileMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o666} {
		f := &File{Path: filepath.Join(t.TempDir(), "f.log"), Mode: mode}
		write(t, f, "1\n")
		if info, err := os.Stat(f.Path); err != nil || info.Mode() != mode {
			t.Errorf("mode %v, %v; want %v", info.Mode(), err, mode)
		}
		f.Close()
	}
}

func TestFullFilesAreRenamed(t *testing.T) {
	dir := t.TempDir()
	f := &File{Path: filepath.Join(dir, "a.log"), Mode: 0o600, Size: 10, Backups: 2}
	defer f.Close()
	for _, name := range []string{"a-b.log", "a-b-2026-01-02T03-04-05.000.log", "a-2020-01-02T03-04-05.000.log", "a-notes.log"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, lines := range []string{"1\n", "2345678\n", "9\n", "much longer than a file may be\n", "10\n", "11\n"} {
		write(t, f, lines)
	}
	has(t, f.Path, "10\n11\n")
	backups, err := filepath.Glob(filepath.Join(dir, "a-20*.log"))
	if err != nil || len(backups) != 2 {
		t.Fatalf("full files %v, %v; want the latest two", backups, err)
	}
	slices.Sort(backups)
	has(t, backups[0], "9\n")
	has(t, backups[1], "much longer than a file may be\n")
	for _, others := range []string{"a-b.log", "a-b-2026-01-02T03-04-05.000.log", "a-notes.log"} {
		has(t, filepath.Join(dir, others), "x\n")
	}
}

// If a full file cannot be renamed, it grows further.
func TestFileThatCannotBeRenamed(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root can rename everything")
	}
	dir := t.TempDir()
	f := &File{Path: filepath.Join(dir, "a.log"), Mode: 0o600, Size: 10, Backups: 2}
	defer f.Close()
	write(t, f, "1234567\n")
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if n, err := f.Write([]byte("89\n")); n != 3 || err == nil {
		t.Errorf("wrote %d bytes, %v; want all 3, and the error of the rename", n, err)
	}
	has(t, f.Path, "1234567\n89\n")
}

// A write to a pipe without a reader fails, and does not block.
func TestPipeWithoutAReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f := &File{Path: path}
	defer f.Close()
	if n, err := f.Write([]byte("1\n")); n != 0 || !errors.Is(err, syscall.ENXIO) {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	write(t, f, "2\n")
	var got [10]byte
	if n, err := reader.Read(got[:]); string(got[:n]) != "2\n" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
	regular := &File{Path: path, Size: 10}
	if _, err := regular.Write([]byte("3\n")); err == nil || !strings.Contains(err.Error(), "want a regular file") {
		t.Errorf("got %v", err)
	}
}

// If the clock goes back, full files are still removed in the order in which they were written.
func TestFullFilesAfterTheClockWentBack(t *testing.T) {
	dir := t.TempDir()
	f := &File{Path: filepath.Join(dir, "a.log"), Mode: 0o600, Size: 2, Backups: 2}
	defer f.Close()
	later := time.Now().UTC().Add(time.Hour)
	for i, lines := range []string{"1\n", "2\n"} { // written before that
		if err := os.WriteFile(f.backup(later.Add(time.Duration(i)).Format("2006-01-02T15-04-05.000000000")), []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, lines := range []string{"3\n", "4\n", "5\n"} {
		write(t, f, lines)
	}
	backups, err := filepath.Glob(filepath.Join(dir, "a-*.log"))
	if err != nil || len(backups) != 2 {
		t.Fatalf("full files %v, %v; want the latest two", backups, err)
	}
	slices.Sort(backups)
	has(t, backups[0], "3\n")
	has(t, backups[1], "4\n")
}
