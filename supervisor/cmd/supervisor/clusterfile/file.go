package clusterfile

import (
	"encoding"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"example.com/crashlab/supervisor/inputfile"
)

// content is what a cluster file says.
type content struct {
	settings                     // of the one group, or what groups have unless they say otherwise
	Groups   map[string]settings `yaml:"groups"`
	own
	Banner *word `yaml:"banner"` // with placeholders
}

// file is a cluster file.
type file struct {
	content
	path string
	yaml *inputfile.Document
	at   map[string]*token.Token // where in the text the values are, by their paths: env.KEY, command[0]
	keys map[string]*token.Token // and their keys
}

// load reads a cluster file as read gets its text.
func load(read func(path string, most int) ([]byte, error), path string) (*file, error) {
	text, err := read(path, inputfile.MaxYAML)
	if err != nil {
		return nil, inputfile.Place{Name: "--config"}.Errorf("%v", err)
	}
	f := &file{path: path, at: make(map[string]*token.Token), keys: make(map[string]*token.Token)}
	if f.yaml, err = inputfile.Parse(path, text); err != nil {
		return nil, err
	}
	if f.yaml.Root == nil {
		return f, nil
	}
	if err := f.read(reflect.ValueOf(&f.content).Elem(), f.yaml.Root, ""); err != nil {
		return nil, err
	}
	return f, nil
}

// read sets a value as the node at a path has it. A type that reads a text
// takes any scalar as it stands.
func (f *file) read(to reflect.Value, n ast.Node, path string) error {
	f.at[path] = n.GetToken()
	text, isText := inputfile.Scalar(n)
	if isText {
		var err error
		if text, err = inputfile.Interpolate(text, os.LookupEnv); err != nil {
			return f.mistakeAt(n.GetToken(), "%s: %v", path, err)
		}
	}
	list, isList := n.(*ast.SequenceNode)
	keys, isMap := n.(*ast.MappingNode)
	switch {
	case n.Type() == ast.NullType:
		return f.mistakeAt(n.GetToken(), "%s has no value: give one, or leave it out", path)
	case !isText && !isList && !isMap:
		return f.mistakeAt(n.GetToken(), "%q: want a value without anchors, aliases and tags", n.GetToken().Value)
	}
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	reader, reads := to.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case reads && isText:
		if err := reader.UnmarshalText([]byte(text)); err != nil {
			return f.mistakeAt(n.GetToken(), "%s: %v", path, err)
		}
		if p, ok := reader.(*filePath); ok && text != "-" { // which is stdout
			*p = filePath(f.beside(string(*p)))
		}
		return nil
	case reads && to.Kind() != reflect.Struct:
		line, _, _ := strings.Cut(n.String(), "\n")
		err := reader.UnmarshalText([]byte(line))
		if err == nil {
			err = fmt.Errorf("%q: want a text", line)
		}
		return f.mistakeAt(n.GetToken(), "%s: %v", path, err)
	case to.Kind() == reflect.Slice && isList:
		return f.readList(to, list, path)
	case to.Kind() == reflect.Map && isMap, to.Kind() == reflect.Struct && isMap:
		return f.readKeys(to, keys, path)
	}
	return f.mistakeAt(n.GetToken(), "%s%q: want %s", prefix(path, ": "), n.GetToken().Value, wanted(to))
}

// beside returns the path that one in the file stands for: a relative path is
// relative to the file's directory. A file that comes by a descriptor, as from
// a shell's <(COMMAND) or /dev/stdin, has none.
func (f *file) beside(path string) string {
	if path == "" || filepath.IsAbs(path) || strings.HasPrefix(f.path, "/dev/") || strings.HasPrefix(f.path, "/proc/") {
		return path
	}
	return filepath.Join(filepath.Dir(f.path), path)
}

func (f *file) readList(to reflect.Value, list *ast.SequenceNode, path string) error {
	to.Set(reflect.MakeSlice(to.Type(), len(list.Values), len(list.Values)))
	for i, item := range list.Values {
		if err := f.read(to.Index(i), item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

// readKeys sets the fields of a struct, or the elements of a map.
func (f *file) readKeys(to reflect.Value, keys *ast.MappingNode, path string) error {
	if to.Kind() == reflect.Map {
		to.Set(reflect.MakeMap(to.Type()))
	}
	for _, entry := range keys.Values {
		key := entry.Key.GetToken()
		at := prefix(path, ".") + key.Value
		f.keys[at] = key
		if to.Kind() == reflect.Map {
			element := reflect.New(to.Type().Elem()).Elem()
			if err := f.read(element, entry.Value, at); err != nil {
				return err
			}
			to.SetMapIndex(reflect.ValueOf(key.Value), element)
		} else {
			field, allowed := field(to, key.Value)
			if !field.IsValid() {
				return f.mistakeAt(key, "unknown key %q: want one of %s", key.Value, strings.Join(allowed, ", "))
			}
			if err := f.read(field, entry.Value, at); err != nil {
				return err
			}
		}
		if entry.Value.Type() == ast.MappingType {
			f.at[at] = key // a better place to point at than its first line
		}
	}
	return nil
}

// field returns the field of a struct for a key, if there is one, and all keys
// that there are.
func field(of reflect.Value, key string) (found reflect.Value, keys []string) {
	for f, v := range of.Fields() {
		name := f.Tag.Get("yaml")
		if f.Anonymous {
			inner, more := field(v, key)
			if keys = append(keys, more...); inner.IsValid() {
				found = inner
			}
			continue
		}
		if keys = append(keys, name); name == key {
			found = v
		}
	}
	return found, keys
}

// wanted says what a value of the file is read from.
func wanted(to reflect.Value) string {
	switch to.Kind() {
	case reflect.Slice:
		return "a list of texts, such as [PROGRAM, ARG]"
	case reflect.Map, reflect.Struct:
		return "KEY: value"
	}
	return "a single value"
}

func prefix(path, separator string) string {
	if path == "" {
		return ""
	}
	return path + separator
}

// mistake says what is wrong with the value at a path, or, if the file does
// not have it, with the file as a whole.
func (f *file) mistake(path, what string) error {
	return f.mistakeAt(f.at[path], "%s", what)
}

// mistakeAt says what is wrong at a token; nil is the file as a whole.
func (f *file) mistakeAt(at *token.Token, format string, args ...any) error {
	place := inputfile.Place{Name: f.path}
	if f.yaml != nil {
		place = f.yaml.At(at)
	}
	return place.Errorf(format, args...)
}
