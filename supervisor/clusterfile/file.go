package clusterfile

import (
	"encoding"
	"os"
	"path/filepath"
	"strings"

	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/transport"
)

// content is the content of a cluster file.
type content struct {
	groupSettings                          // of the only group, or the defaults of Groups
	Groups        map[string]groupSettings `yaml:"groups"`
	supervisorSettings
	Banner *verbatim `yaml:"banner"` // with placeholders
}

// file is a cluster file.
type file struct {
	content
	path string
	inputfile.Document
}

// load reads a cluster file with read.
func load(read func(path string, most int) ([]byte, error), path string) (*file, error) {
	text, err := read(path, inputfile.MaxYAML)
	if err != nil {
		return nil, inputfile.Place{Name: "--config"}.Errorf("%v", err)
	}
	d, err := inputfile.Parse(path, text)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, Document: *d}
	return f, f.Decode(&f.content, f.interpolate)
}

// interpolate replaces variables in the text of a value, and resolves paths.
func (f *file) interpolate(text string, v encoding.TextUnmarshaler) (string, error) {
	text, err := inputfile.Interpolate(text, os.LookupEnv)
	switch v.(type) {
	case *filePath:
		if text != "-" { // stdout
			text = f.beside(text)
		}
	case *authorities:
		if text != transport.SystemCA {
			text = f.beside(text)
		}
	}
	return text, err
}

// beside resolves a path in the file: a relative path is relative to the file's directory. A file
// that is read through a descriptor, such as a shell's <(COMMAND) or /dev/stdin, has no directory.
func (f *file) beside(path string) string {
	if path == "" || filepath.IsAbs(path) || strings.HasPrefix(f.path, "/dev/") || strings.HasPrefix(f.path, "/proc/") {
		return path
	}
	dir, _ := filepath.Split(f.path)
	if strings.Contains(dir+path, "..") { // LINK/.. is the parent of the link's target
		if real, err := filepath.EvalSymlinks(dir + "."); err == nil {
			dir = real
		}
	}
	return filepath.Join(dir, path)
}
