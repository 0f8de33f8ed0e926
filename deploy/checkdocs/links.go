package main

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

var (
	inlineLink = regexp.MustCompile(`\]\(\s*<?([^)\s>]*)>?(?:\s+"[^"]*")?\s*\)`)
	htmlLink   = regexp.MustCompile(`\b(?:src|href|srcset)="([^"\s]*)`)
	heading    = regexp.MustCompile(`(?m)^#{1,6}[ \t]`)
	linkText   = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	anyTag     = regexp.MustCompile(`<[^>]*>`)
	emphasis   = regexp.MustCompile("[`*]")
)

// checkLinks checks that links to documents, files and folders of the repository lead somewhere. It
// does not follow links to other hosts.
func (c *checker) checkLinks(d *document) {
	for _, form := range []*regexp.Regexp{inlineLink, htmlLink} {
		for _, m := range form.FindAllStringSubmatchIndex(d.prose, -1) {
			c.counts.links++
			c.checkLink(d, d.line(m[2]), d.prose[m[2]:m[3]])
		}
	}
}

func (c *checker) checkLink(d *document, line int, link string) {
	target, err := url.Parse(link)
	switch {
	case err != nil || link == "":
		c.find(d, line, "the link %q is no address", link)
		return
	case target.Scheme != "" || target.Host != "":
		return
	case strings.HasPrefix(target.Path, "/"):
		c.find(d, line, "the link %s begins at the root of the host: want a path from the document's folder", link)
		return
	}
	name := d.name
	if target.Path != "" {
		name = path.Join(path.Dir(d.name), target.Path)
	}
	if !c.tree.has(name) {
		c.find(d, line, "the link %s leads nowhere: the repository has no %s", link, name)
		return
	}
	if target.Fragment == "" {
		return
	}
	if path.Ext(name) != ".md" {
		c.find(d, line, "the link %s has an anchor, and %s is no document", link, name)
		return
	}
	if anchors := c.anchors(name); !anchors[target.Fragment] {
		c.find(d, line, "the link %s leads nowhere: %s has no heading #%s", link, name, target.Fragment)
	}
}

// anchors returns the anchors of a document, as GitHub makes them of headings.
func (c *checker) anchors(name string) map[string]bool {
	if known, ok := c.anchorsOf[name]; ok {
		return known
	}
	text, err := c.tree.read(name)
	if err != nil {
		c.find(&document{name: name}, 1, "%v", err)
	}
	d := parse(name, text, func(int, string, ...any) {})
	anchors := map[string]bool{}
	// Code spans, which are blank in prose, are part of a heading's anchor.
	for _, m := range heading.FindAllStringIndex(d.prose, -1) {
		text, _, _ := strings.Cut(d.text[m[1]:], "\n")
		slug := slug(strings.TrimSpace(strings.TrimRight(text, "#")))
		name := slug
		for n := 1; anchors[name]; n++ {
			name = slug + "-" + strconv.Itoa(n)
		}
		anchors[name] = true
	}
	c.anchorsOf[name] = anchors
	return anchors
}

// slug returns the anchor of a heading.
func slug(heading string) string {
	heading = linkText.ReplaceAllString(heading, "$1")
	heading = anyTag.ReplaceAllString(heading, "")
	heading = emphasis.ReplaceAllString(heading, "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// checkNames checks that files, folders and tests named in code spans exist. A span names a file or
// folder if its first part is a file or folder in the root.
func (c *checker) checkNames(d *document) {
	for _, s := range d.spans {
		if testName.MatchString(s.text) && !c.hasTest(s.text) {
			c.find(d, d.line(s.start), "there is no test %s", s.text)
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(s.text, "./"), "/")
		if !plainPath.MatchString(name) || !c.tree.within(name) || c.tree.has(name) || isPlaceholder(name) {
			continue
		}
		if c.tree.has(path.Join(path.Dir(d.name), name)) {
			continue
		}
		c.find(d, d.line(s.start), "%s does not exist", name)
	}
}

// hasTest reports whether a file of tests has a function of that name.
func (c *checker) hasTest(name string) bool {
	return slices.ContainsFunc(c.tree.files, func(file string) bool {
		return strings.HasSuffix(file, "_test.go") && slices.Contains(c.testsOf(file), name)
	})
}

var (
	testName    = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark)[A-Z]\w*$`)
	plainPath   = regexp.MustCompile(`^[\w.*/-]+$`)
	placeholder = regexp.MustCompile(`(?:^|/)(?:[A-Z]+|\.\.\.)(?:/|\.[a-z]+$|$)`)
)

// isPlaceholder reports whether a path contains a placeholder, as FOLDER/NAME.yaml does.
func isPlaceholder(name string) bool {
	return placeholder.MatchString(name) && path.Ext(name) != ".md" || strings.Contains(name, "...")
}
