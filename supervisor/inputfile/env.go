package inputfile

import (
	"fmt"
	"strings"
)

const maxEnv = 64 << 10 // bytes

// ReadEnv reads environment variables from a regular file with one NAME=VALUE to a line. It ignores
// empty lines, lines that begin with #, quotes around a whole value and a byte order mark. Any
// other line is a [*Mistake]. Other errors are those of [Read].
func ReadEnv(path string) (map[string]string, error) {
	text, err := Read(path, maxEnv)
	if err != nil {
		return nil, err
	}
	env := make(map[string]string)
	for n, line := range strings.Split(strings.TrimPrefix(string(text), bom), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !found || name == "" || strings.ContainsAny(name, " \t\x00") || strings.Contains(value, "\x00") {
			return nil, Place{Name: fmt.Sprintf("%s:%d", path, n+1)}.Errorf("%q: want NAME=VALUE, or # and a comment", line)
		}
		env[name] = unquote(strings.TrimSpace(value))
	}
	return env, nil
}

func unquote(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}
