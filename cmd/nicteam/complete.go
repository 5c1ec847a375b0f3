// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nicteam/internal/launch"
)

// Completion. A shell's script asks `nicteam __complete ARGUMENTS` (cobra) what may stand at the cursor. Each argument
// and each flag of the command tree has a completer, which follows from what help says of it: the word for it in the
// usage line (TEAM, NIC, FILE), the row of its setting, the words that it takes, its type. TestEveryPlaceHasACompleter
// fails for one that has none.

// completePatience bounds the wait for teams and the kernel: somebody waits with a finger on the key.
const completePatience = 100 * time.Millisecond

// A place is where on the command line something is typed.
type place struct {
	a     *app
	cmd   *cobra.Command
	given []string // arguments before it
	typed string   // the beginning of what is typed
	flag  *pflag.Flag
	name  string // of the argument or flag, as help has it

	glimpse *launch.Glimpse
}

// look returns what is known of this host.
func (p *place) look() *launch.Glimpse {
	if p.glimpse == nil {
		_ = p.a.resolveDirs()
		p.glimpse = launch.TakeGlimpse(context.Background(), p.a.dirs, completePatience)
	}
	return p.glimpse
}

// An offer is what may stand at a place.
type offer struct {
	words []string // each perhaps with a tab and what it is; the shell's order is theirs
	hint  string   // shown if there are none
	shell cobra.ShellCompDirective
}

// The shell adds files only where an offer has shell == files.
const (
	files   = cobra.ShellCompDirectiveDefault
	noFiles = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	goesOn  = noFiles | cobra.ShellCompDirectiveNoSpace // what was completed is not the whole word
)

type completer func(*place) offer

// completion makes cobra's function of a completer.
func (a *app) completion(c completer, f *pflag.Flag, name string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
		o := c(&place{a: a, cmd: cmd, given: given, typed: typed, flag: f, name: name})
		if o.shell&(cobra.ShellCompDirectiveFilterFileExt|cobra.ShellCompDirectiveFilterDirs) != 0 {
			return o.words, o.shell
		}
		words := beginning(typed, o.words)
		if len(words) == 0 && o.hint != "" {
			words = cobra.AppendActiveHelp(nil, o.hint)
		}
		return words, o.shell
	}
}

// beginning keeps the words that begin with what was typed.
func beginning(typed string, words []string) (list []string) {
	for _, w := range words {
		if strings.HasPrefix(w, typed) {
			list = append(list, w)
		}
	}
	return list
}

// described is a word of an offer.
func described(word, what string) string {
	if what == "" {
		return word
	}
	return word + "\t" + what
}

// complete gives the commands below cmd, and cmd itself, their completers.
func (a *app) complete(cmd *cobra.Command) {
	words, repeated := arguments(cmd)
	cmd.ValidArgsFunction = func(_ *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
		i := len(given)
		if repeated {
			i = min(i, len(words)-1)
		}
		if i >= len(words) {
			return nil, noFiles
		}
		c := argumentCompleter(cmd, words[i])
		if c == nil {
			return nil, noFiles
		}
		return a.completion(c, nil, words[i])(cmd, given, typed)
	}
	visitFlags(cmd, func(f *pflag.Flag) {
		if c := flagCompleter(cmd, f); c != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, a.completion(c, f, "--"+f.Name)) // they have none yet
		}
	})
	for _, sub := range cmd.Commands() {
		a.complete(sub)
	}
}

// visitFlags calls each with the flags that a command brings, hidden ones too.
func visitFlags(cmd *cobra.Command, each func(*pflag.Flag)) {
	cmd.LocalNonPersistentFlags().VisitAll(each)
	cmd.PersistentFlags().VisitAll(each)
}

// arguments returns the words of a usage line that stand for arguments; repeated: what the last one stands for may come
// several times.
func arguments(cmd *cobra.Command) (words []string, repeated bool) {
	fields := strings.Fields(cmd.Use)[1:]
	for i := 0; i < len(fields); i++ {
		word := fields[i]
		if strings.HasPrefix(word, "-") {
			i++ // its value
			continue
		}
		if inner, ok := strings.CutPrefix(word, "["); ok {
			word = strings.TrimSuffix(inner, "]")
		}
		word, repeated = strings.CutSuffix(word, "...")
		word, _, _ = strings.Cut(word, "|")
		words = append(words, word)
	}
	return words, repeated || cmd.Name() == "explain" // a flow has several words
}

// argumentCompleter returns the completer of a command's argument, nil if nobody has decided on one.
func argumentCompleter(cmd *cobra.Command, word string) completer {
	if c, ok := completers[cmd.Name()+" "+word]; ok {
		return c
	}
	return completers[word]
}

// flagCompleter returns the completer of a flag's value, nil if nobody has decided on one.
func flagCompleter(cmd *cobra.Command, f *pflag.Flag) completer {
	if setsSetting(f) {
		return completeSettingFlag
	}
	if v, ok := f.Value.(*wordFlag); ok {
		return func(*place) offer { return offer{words: v.words, shell: noFiles} }
	}
	value, _ := pflag.UnquoteUsage(f)
	for _, name := range []string{cmd.Name() + " --" + f.Name, "--" + f.Name, value} {
		if c, ok := completers[name]; ok {
			return c
		}
	}
	return nil
}

// wordFlag is the value of a flag that takes one of few words, which its command checks.
type wordFlag struct {
	at    *string
	words []string
}

// oneOf makes a flag's value; what at has is the default.
func oneOf(at *string, standard string, words []string) *wordFlag {
	*at = standard
	return &wordFlag{at, words}
}

func (w *wordFlag) String() string {
	if w.at == nil { // pflag asks the zero value
		return ""
	}
	return *w.at
}

func (w *wordFlag) Set(v string) error { *w.at = v; return nil }
func (w *wordFlag) Type() string       { return "string" }
