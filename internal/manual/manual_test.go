// SPDX-License-Identifier: MIT

package manual

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `A paragraph of
two lines:

  one    the first
  two    the second,
         longer
COMMON   VALUES     DEFAULT  MEANING
  a_key  0 to 1     0        a number
  other  on or off  -        whether. It has a dot.

A file:

  team: team0
    mode: elb        # left out

Examples:
  nicteam status     # all

  .hidden \n 'quoted'`

func TestParse(t *testing.T) {
	want := []Block{
		{Kind: Paragraph, Text: "A paragraph of two lines:"},
		{Kind: List, Items: []Item{{"one", []string{"the first"}}, {"two", []string{"the second, longer"}}}},
		{Kind: Table, Head: []string{"COMMON", "VALUES", "DEFAULT", "MEANING"}, Items: []Item{
			{"a_key", []string{"0 to 1", "0", "a number"}},
			{"other", []string{"on or off", "-", "whether. It has a dot."}}}},
		{Kind: Paragraph, Text: "A file:"},
		{Kind: Code, Text: "team: team0\n  mode: elb        # left out"},
		{Kind: Paragraph, Text: "Examples:"},
		{Kind: Code, Text: "nicteam status     # all"},
		{Kind: Code, Text: `.hidden \n 'quoted'`},
	}
	if d := cmp.Diff(want, Parse(sample)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func samplePage(text string) *Page {
	p := &Page{Name: "x-y", Section: 8, Short: "a sample", Date: "2006-01-02", Source: "x 1"}
	p.Head("SYNOPSIS")
	p.Synopsis("nicteam create TEAM NIC... [flags]")
	p.Head("DESCRIPTION")
	p.Text(text)
	return p
}

func TestPage(t *testing.T) {
	got := string(samplePage(sample).Bytes())
	want := `.\" SPDX-License-Identifier: MIT
.TH "X-Y" 8 "2006-01-02" "x 1" "System Administration"
.SH NAME
x\-y \- a sample
.SH "SYNOPSIS"
\fBnicteam\fR \fBcreate\fR \fITEAM\fR \fINIC...\fR \fI[flags]\fR
.SH "DESCRIPTION"
A paragraph of two lines:
.TP
\fBone\fR
the first
.TP
\fBtwo\fR
the second, longer
.SS "common"
.TP
\fBa_key\fR
a number. Values: 0 to 1. Default: 0.
.TP
\fBother\fR
whether. It has a dot. Values: on or off.
.PP
A file:
.PP
.nf
.RS 4
team: team0
  mode: elb        # left out
.RE
.fi
.PP
Examples:
.PP
.nf
.RS 4
nicteam status     # all
.RE
.fi
.PP
.nf
.RS 4
\&.hidden \en \(aqquoted\(aq
.RE
.fi
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// FuzzPage: whatever a help text is, nothing of it is read as a macro, and no word is lost but names of columns.
func FuzzPage(f *testing.F) {
	f.Add(sample)
	f.Add("A  B\n  x\n\n\n  .TH  'a\\fB")
	f.Add(" \t- \n µ→  …")
	f.Fuzz(func(t *testing.T, text string) {
		p := &Page{}
		p.Text(text)
		var got strings.Builder
		for line := range strings.SplitSeq(p.body.String(), "\n") {
			if strings.HasPrefix(line, "'") {
				t.Fatalf("a macro: %q", line)
			}
			if macro, _, _ := strings.Cut(line, " "); strings.HasPrefix(line, ".") {
				switch macro {
				case ".PP", ".TP", ".nf", ".fi", ".RS", ".RE":
					continue
				case ".SS":
				default:
					t.Fatalf("a macro: %q", line)
				}
			}
			got.WriteString(strings.ToLower(line) + "\n")
		}
		var heads strings.Builder
		for _, b := range Parse(text) {
			heads.WriteString(strings.Join(b.Head, " ") + " ")
		}
		for word := range strings.FieldsSeq(text) {
			if strings.Contains(heads.String(), word) { // the last column needs no name
				continue
			}
			plain := strings.ToLower(escape(strings.Trim(word, "-")))
			if !strings.Contains(got.String(), plain) {
				t.Fatalf("%q is not in\n%s", word, got.String())
			}
		}
	})
}

// TestMandoc: a page is what mandoc wants, if there is one.
func TestMandoc(t *testing.T) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Skip("no mandoc (apt-get install mandoc)")
	}
	c := exec.Command("mandoc", "-T", "lint", "-W", "style")
	c.Stdin = strings.NewReader(string(samplePage(sample).Bytes()))
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
