package commandline

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"example.com/crashlab/supervisor/parse"
)

// Misuse is the error of a command line that is not allowed.
type Misuse struct {
	What string // the word at fault and what is allowed
	Near string // a known flag or command that resembles an unknown one; empty: none does
	Page string // the command that shows the right help page
}

// Error returns one line.
func (m *Misuse) Error() string {
	if m.Near != "" {
		return fmt.Sprintf("%s: did you mean %s? See %s", m.What, m.Near, m.Page)
	}
	return fmt.Sprintf("%s; see %s", m.What, m.Page)
}

// Messages of the parser.
var (
	missingValue = regexp.MustCompile(`^(--\S+): expected .* but got "EOL" .*$`)
	wrongChoice  = regexp.MustCompile(`^(--\S+) must be one of (\S+) but got (".*")$`)
	wrongValue   = regexp.MustCompile(`^(--\S+|<.+>): (".*)$`)
	unknownWord  = regexp.MustCompile(`^(unknown flag|unexpected argument) (.+?)(, did you mean .*)?$`)
)

// misuse returns an error of the parser in the words of the programs.
func misuse(err error) error {
	failed, ok := errors.AsType[*kong.ParseError](err)
	if !ok || failed.Context == nil {
		return err
	}
	at := command(failed.Context)
	m := &Misuse{What: err.Error(), Page: page(failed.Context)}
	switch what := m.What; {
	case unknownWord.MatchString(what):
		parts := unknownWord.FindStringSubmatch(what)
		m.unknown(at, parts[1], parts[2])
	case missingValue.MatchString(what):
		m.What = missingValue.ReplaceAllString(what, "$1: want a value")
	case wrongChoice.MatchString(what):
		parts := wrongChoice.FindStringSubmatch(what)
		choices := strings.Split(strings.ReplaceAll(parts[2], `"`, ""), ",")
		m.What = fmt.Sprintf("%s %s: want %s", parts[1], parts[3], parse.Or(choices))
	case wrongValue.MatchString(what):
		m.What = wrongValue.ReplaceAllString(what, "$1 $2")
	case strings.HasPrefix(what, "expected one of "):
		m.What = "want a command"
	case strings.HasPrefix(what, "expected "):
		m.What = "want " + strings.ReplaceAll(strings.TrimPrefix(what, "expected "), `"`, "")
	}
	return m
}

// command returns the command that was given; that is the program for the default command.
func command(parsed *kong.Context) *kong.Node {
	if at := parsed.Selected(); at != nil && at != parsed.Model.DefaultCmd {
		return at
	}
	return parsed.Model.Node
}

// page returns the command that shows the help page of the command that was given.
func page(parsed *kong.Context) string { return command(parsed).FullPath() + " --help" }

// unknown describes a flag or an argument that the command does not know. An argument where a
// command belongs is an unknown command, unless the default command may have been meant.
func (m *Misuse) unknown(at *kong.Node, what, word string) {
	if what == "unknown flag" {
		m.Near = nearest(word, flagNames(at))
	} else if commands := commandNames(at); len(commands) > 0 {
		if m.Near = nearest(word, commands); m.Near != "" || at.DefaultCmd == nil {
			what = "unknown command"
		}
	}
	m.What = what + " " + word
}

func flagNames(at *kong.Node) (names []string) {
	if at.DefaultCmd != nil {
		at = at.DefaultCmd
	}
	for _, level := range at.AllFlags(true) {
		for _, f := range level {
			names = append(names, "--"+f.Name)
		}
	}
	return names
}

func commandNames(at *kong.Node) (names []string) {
	for _, child := range at.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

// nearest returns the known word that a mistyped or shortened one most likely stands for; empty
// without one.
func nearest(word string, known []string) (near string) {
	length := len(strings.TrimLeft(word, "-"))
	best := min(length/2, 2) + 1
	for _, k := range known {
		d := distance(word, k)
		if strings.HasPrefix(k, word) && length > 1 {
			d = min(d, 2)
		}
		if d < best {
			near, best = k, d
		}
	}
	return near
}

// distance returns how many letters must be inserted, removed or replaced to make b of a: the
// Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
