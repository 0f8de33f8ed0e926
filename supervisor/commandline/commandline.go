// Package commandline parses the command lines of the programs. It gives them one form: help pages
// of 80 columns with grouped flags and a table of exit codes, and errors of one line that name the
// help page to read.
//
// A command line is a struct with the tags of package kong. The group tag of a flag is the title
// under which its page lists it; [Program.Groups] has the titles of flags that other packages
// declare. The method Help of a command returns what its page shows above the flags: its examples,
// indented as in a Go doc comment.
package commandline

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"example.com/crashlab/supervisor/version"
)

// columns is the width of the help pages; they are narrower on a narrower terminal.
const columns = 80

// Program describes a program.
type Program struct {
	Name        string
	Description string     // one sentence
	ExitCodes   []ExitCode // shown on every help page
	Groups      []Group    // the groups of flags without a group tag
}

// Group is a group of flags on a help page.
type Group struct {
	Title string
	Flags string // names, separated by spaces
}

// ExitCode is a row of the table of exit codes.
type ExitCode struct {
	Code    int
	Meaning string
}

// Parse parses the arguments into cli, a pointer to a struct. For --help, and for --version with a
// [kong.VersionFlag], it writes to stdout and ends the process. A command line that is not allowed
// is a [*Misuse]; so is a flag with an empty text, as from an unset variable in a script.
func (p Program) Parse(cli any, args []string, stdout, stderr io.Writer, options ...kong.Option) (*kong.Context, error) {
	parser, err := kong.New(cli, append(options,
		kong.Name(p.Name), kong.Description(p.Description), kong.Writers(stdout, stderr), kong.Help(p.help),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: columns}),
		kong.WithHyphenPrefixedParameters(true), // "--rounds -1" is a bad number, not a missing value
		kong.Vars{"version": version.Of(p.Name)})...)
	if err != nil {
		return nil, err
	}
	parser.Model.HelpFlag.Help = "Show this help and exit."
	p.setGroups(parser.Model.Node)
	parsed, err := parser.Parse(args)
	if err != nil {
		return nil, misuse(err)
	}
	for _, p := range parsed.Path {
		if p.Flag == nil {
			continue
		}
		if v := reflect.Indirect(p.Flag.Target); v.Kind() == reflect.String && v.Len() == 0 {
			return nil, &Misuse{What: fmt.Sprintf("--%s: want a value", p.Flag.Name), Page: page(parsed)}
		}
	}
	return parsed, nil
}

// setGroups sets the groups of flags without a tag, and the titles of all groups.
func (p Program) setGroups(n *kong.Node) {
	for _, f := range n.Flags {
		for _, g := range p.Groups {
			if f.Group == nil && slices.Contains(strings.Fields(g.Flags), f.Name) {
				f.Group = &kong.Group{Key: g.Title}
			}
		}
		if f.Group != nil {
			f.Group.Title = f.Group.Key + ":"
		}
	}
	for _, child := range n.Children {
		p.setGroups(child)
	}
}

// help prints the page of the selected command, or of the default command if none is selected.
func (p Program) help(options kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() == nil && ctx.Model.DefaultCmd != nil {
		of, err := kong.Trace(ctx.Kong, []string{ctx.Model.DefaultCmd.Name})
		if err != nil {
			return err
		}
		ctx = of
		ctx.Selected().Name = "[" + ctx.Selected().Name + "]"
	}
	if at := ctx.Selected(); at != nil {
		// The flags of the command come before those that it shares with others.
		for n := at.Parent; n.Type == kong.CommandNode; n = n.Parent {
			at.Flags = append(at.Flags, n.Flags...)
			n.Flags = nil
		}
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	fmt.Fprint(ctx.Stdout, "\nExit codes:\n")
	for _, c := range p.ExitCodes {
		if _, err := fmt.Fprintf(ctx.Stdout, "  %-5d%s\n", c.Code, c.Meaning); err != nil {
			return err
		}
	}
	return nil
}
