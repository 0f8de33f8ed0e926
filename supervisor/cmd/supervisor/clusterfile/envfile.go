package clusterfile

import (
	"fmt"
	"strings"

	"example.com/crashlab/supervisor/inputfile"
)

// readEnvFile returns the variables of an env_file, one NAME=VALUE to a line.
// Empty lines and those that begin with # do not count, nor do quotes around a
// whole value.
func readEnvFile(path string) (map[string]string, error) {
	text, err := inputfile.Read(path, inputfile.MaxYAML)
	if err != nil {
		return nil, err
	}
	env := make(map[string]string)
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !found || name == "" || strings.ContainsAny(name, " \t\x00") || ours[name] || strings.Contains(value, "\x00") {
			return nil, fmt.Errorf("%s:%d: %q: want NAME=VALUE, or # and a comment", path, n+1, line)
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
