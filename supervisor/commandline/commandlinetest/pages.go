// Package commandlinetest helps tests of programs that use package commandline.
package commandlinetest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"example.com/crashlab/supervisor/commandline"
)

// CheckPages checks the help page of each command, as print returns it for the arguments: it fits
// on 80 columns, every flag is in a group, the exit codes are there, and there are at least two
// examples of the program, which it accepts. The cli is a function that returns a new pointer to
// the struct of the command line.
func CheckPages(t *testing.T, p commandline.Program, cli func() any, print func(args ...string) string, options ...kong.Option) {
	parser, err := kong.New(cli(), append(options, kong.Name(p.Name))...)
	if err != nil {
		t.Fatal(err)
	}
	checkNode(t, p, parser.Model.Node, func(t *testing.T, text string) {
		examples := examples(p.Name, text)
		if len(examples) < 2 {
			t.Errorf("%d examples, want two at least, in\n%s", len(examples), text)
		}
		for _, args := range examples {
			noExit := kong.Exit(func(int) { t.Errorf("%q exits", args) })
			if _, err := p.Parse(cli(), args, io.Discard, io.Discard, append(options, noExit)...); err != nil {
				t.Errorf("example %q: %v", args, err)
			}
		}
	}, print)
}

func checkNode(t *testing.T, p commandline.Program, n *kong.Node, check func(t *testing.T, text string), print func(args ...string) string) {
	for _, child := range n.Children {
		if !child.Hidden {
			checkNode(t, p, child, check, print)
		}
	}
	args := append(strings.Fields(n.Path()), "--help")
	t.Run(strings.Join(args, " "), func(t *testing.T) {
		text := print(args...)
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 80 {
				t.Errorf("wider than 80 columns: %s", line)
			}
		}
		for _, c := range p.ExitCodes {
			if line := fmt.Sprintf("\n  %-5d%s\n", c.Code, c.Meaning); !strings.Contains(text, line) {
				t.Errorf("no line %q", line)
			}
		}
		for _, f := range n.Flags {
			grouped := slices.ContainsFunc(p.Groups, func(g commandline.Group) bool {
				return slices.Contains(strings.Fields(g.Flags), f.Name)
			})
			if f.Group == nil && !grouped && f.Name != "help" && f.Name != "version" {
				t.Errorf("--%s has no group", f.Name)
			}
		}
		check(t, text)
	})
}

// examples returns the arguments of the program in the indented lines of a help page. It ignores
// what follows a lone --, which belongs to another program.
func examples(program, text string) (all [][]string) {
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		code, indented := strings.CutPrefix(line, "    ")
		if !indented || strings.HasPrefix(code, " ") {
			continue
		}
		code, _, _ = strings.Cut(code, " #")
		code, _, _ = strings.Cut(code, " | ")
		if _, after, ok := strings.Cut(code, " && "); ok {
			code = after
		}
		words := strings.Fields(code)
		if len(words) == 0 || words[0] != program {
			continue
		}
		args, _, _ := strings.Cut(strings.Join(words[1:], "\x00")+"\x00", "--\x00")
		all = append(all, strings.FieldsFunc(args, func(r rune) bool { return r == 0 }))
	}
	return all
}
