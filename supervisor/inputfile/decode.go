package inputfile

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// places has the positions of a document's values by their paths, such as env.KEY and command[0].
type places struct {
	values map[string]*token.Token
	keys   map[string]*token.Token
	order  map[string][]string // keys of each mapping
}

// Decode sets the struct that to points to. A field has the key named by its yaml tag; the fields
// of an embedded struct belong to the outer one. Decode is strict: an unknown key, or a value that
// does not fit its field, is a [*Mistake]. A type that implements [encoding.TextUnmarshaler]
// accepts any scalar, as transformed by text unless that is nil. Other types may be structs, maps,
// slices, and pointers to them.
func (d *Document) Decode(to any, text func(text string, v encoding.TextUnmarshaler) (string, error)) error {
	d.places = places{make(map[string]*token.Token), make(map[string]*token.Token), make(map[string][]string)}
	if d.Root == nil {
		return nil
	}
	return (&decoder{d, text}).value(reflect.ValueOf(to).Elem(), d.Root, "")
}

// Value returns the place of the value that Decode found at a path, or of the whole file if it
// found none.
func (d *Document) Value(path string) Place { return d.At(d.places.values[path]) }

// Key returns the place of the key of the value at a path.
func (d *Document) Key(path string) Place { return d.At(d.places.keys[path]) }

// Has reports whether Decode found a value at a path.
func (d *Document) Has(path string) bool { return d.places.values[path] != nil }

// Keys returns the keys of the mapping at a path, in the order of the file.
func (d *Document) Keys(path string) []string { return d.places.order[path] }

type decoder struct {
	*Document
	text func(string, encoding.TextUnmarshaler) (string, error)
}

// value sets to to the node at a path.
func (d *decoder) value(to reflect.Value, n ast.Node, path string) error {
	d.places.values[path] = n.GetToken()
	text, isText := Scalar(n)
	list, isList := n.(*ast.SequenceNode)
	keys, isMap := n.(*ast.MappingNode)
	switch {
	case n.Type() == ast.NullType:
		return d.Place(n).Errorf("%s has no value: give one, or leave it out", path)
	case !isText && !isList && !isMap:
		return d.Place(n).Errorf("%q: want a value without anchors, aliases and tags", n.GetToken().Value)
	}
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	reader, reads := to.Addr().Interface().(encoding.TextUnmarshaler)
	var err error
	switch {
	case reads && isText:
		if d.text != nil {
			text, err = d.text(text, reader)
		}
		if err == nil {
			err = reader.UnmarshalText([]byte(text))
		}
		if err != nil {
			return d.Place(n).Errorf("%s: %v", path, err)
		}
		return nil
	case reads && to.Kind() != reflect.Struct:
		line, _, _ := strings.Cut(n.String(), "\n")
		if err = reader.UnmarshalText([]byte(line)); err == nil {
			err = fmt.Errorf("%q: want a text", line)
		}
		return d.Place(n).Errorf("%s: %v", path, err)
	case to.Kind() == reflect.Slice && isList:
		return d.list(to, list, path)
	case to.Kind() == reflect.Map && isMap:
		return d.mapping(to, keys, path)
	case to.Kind() == reflect.Struct && isMap:
		return d.fields(to, keys, path)
	}
	return d.Place(n).Errorf("%s%q: want %s", prefix(path, ": "), n.GetToken().Value, wanted(to))
}

func (d *decoder) list(to reflect.Value, list *ast.SequenceNode, path string) error {
	to.Set(reflect.MakeSlice(to.Type(), len(list.Values), len(list.Values)))
	for i, item := range list.Values {
		if err := d.value(to.Index(i), item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) mapping(to reflect.Value, keys *ast.MappingNode, path string) error {
	to.Set(reflect.MakeMap(to.Type()))
	for _, entry := range keys.Values {
		element := reflect.New(to.Type().Elem()).Elem()
		if err := d.entry(element, entry, path); err != nil {
			return err
		}
		to.SetMapIndex(reflect.ValueOf(entry.Key.GetToken().Value), element)
	}
	return nil
}

func (d *decoder) fields(to reflect.Value, keys *ast.MappingNode, path string) error {
	for _, entry := range keys.Values {
		key := entry.Key.GetToken()
		field, allowed := Field(to, key.Value)
		if !field.IsValid() {
			return d.At(key).Errorf("unknown key %q: want one of %s", key.Value, strings.Join(allowed, ", "))
		}
		if err := d.entry(field, entry, path); err != nil {
			return err
		}
	}
	return nil
}

// entry sets to to the value of an entry of the mapping at a path.
func (d *decoder) entry(to reflect.Value, entry *ast.MappingValueNode, path string) error {
	key := entry.Key.GetToken()
	at := prefix(path, ".") + key.Value
	d.places.keys[at] = key
	d.places.order[path] = append(d.places.order[path], key.Value)
	err := d.value(to, entry.Value, at)
	if entry.Value.Type() == ast.MappingType {
		d.places.values[at] = key // a better place to point at than the mapping's first line
	}
	return err
}

// Field returns the field of a struct that [Document.Decode] sets for a key, or the zero Value, and
// all keys.
func Field(of reflect.Value, key string) (found reflect.Value, keys []string) {
	for f, v := range of.Fields() {
		name := f.Tag.Get("yaml")
		if f.Anonymous {
			inner, more := Field(v, key)
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

// wanted describes what a value is decoded from.
func wanted(to reflect.Value) string {
	switch to.Kind() {
	case reflect.Slice:
		return "a list of texts, such as [a, b]"
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
