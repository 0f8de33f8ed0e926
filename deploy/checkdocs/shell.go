package main

import (
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// command is a simple command of a shell script: a program and its arguments.
type command struct {
	line  int      // from 0
	words []string // without quotes; variables are kept, and $( ) is empty in them
	dir   string   // the folder that cd has changed to
}

// commands returns the simple commands of a script, including those in $( ).
func commands(script string) ([]command, error) {
	file, err := syntax.NewParser().Parse(strings.NewReader(script), "")
	if err != nil {
		return nil, err
	}
	return collect(file, ""), nil
}

// collect returns the commands below a node that starts in dir.
func collect(root syntax.Node, dir string) (all []command) {
	syntax.Walk(root, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Subshell, *syntax.CmdSubst, *syntax.ProcSubst:
			if n != root { // cd has no effect outside
				all = append(all, collect(n, dir)...)
				return false
			}
		case *syntax.CallExpr:
			if len(n.Args) == 0 {
				break
			}
			c := command{line: int(n.Args[0].Pos().Line()) - 1, dir: dir}
			for _, w := range n.Args {
				c.words = append(c.words, unquote(w))
			}
			all = append(all, c)
			if c.words[0] == "cd" && len(c.words) == 2 {
				dir = join(dir, c.words[1])
			}
		}
		return true
	})
	return all
}

var escaped = regexp.MustCompile(`\\(.)`)

// unquote returns the text of a word.
func unquote(w *syntax.Word) string {
	var s strings.Builder
	syntax.Walk(w, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Lit:
			s.WriteString(escaped.ReplaceAllString(n.Value, "$1"))
		case *syntax.SglQuoted:
			s.WriteString(n.Value)
		case *syntax.ParamExp:
			s.WriteString("$" + n.Param.Value)
			return false
		case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.ArithmExp:
			s.WriteString("$()")
			return false
		}
		return true
	})
	return s.String()
}
