// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestServeMetrics: teams come, go and die between scrapes, and the end by a service manager is no failure.
func TestServeMetrics(t *testing.T) {
	dir := t.TempDir()
	stop, err := serveTeam(dir, &fakeTeam{name: "team0", state: "up"})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for sig, want := range map[syscall.Signal]int{syscall.SIGTERM: 0, syscall.SIGINT: 130} {
		cmd := &exec.Cmd{Path: exe, Args: []string{"nicteam", "--run-dir", dir, "metrics", "--listen", "0"}}
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(stderr)
		first, _ := lines.ReadString('\n')
		url := regexp.MustCompile(`http://[^ \n"]*`).FindString(first)
		if url == "" {
			t.Fatalf("no address in %q", first)
		}
		if got := scrape(t, url); !strings.Contains(got, `nicteam_up{team="team0"} 1`) ||
			strings.Contains(got, `team="team1"`) {
			t.Errorf("with team0:\n%s", got)
		}
		other, err := serveTeam(dir, &fakeTeam{name: "team1", state: "up"})
		if err != nil {
			t.Fatal(err)
		}
		if got := scrape(t, url); !strings.Contains(got, `nicteam_up{team="team1"} 1`) {
			t.Errorf("with team1:\n%s", got)
		}
		other()
		if got := scrape(t, url); strings.Contains(got, `team="team1"`) {
			t.Errorf("without team1:\n%s", got)
		}
		leaveSocket(t, dir+"/team2.sock")
		if got := scrape(t, url); !strings.Contains(got, `nicteam_up{team="team2"} 0`) ||
			!strings.Contains(got, `nicteam_up{team="team0"} 1`) {
			t.Errorf("with a dead team2:\n%s", got)
		}
		_ = os.Remove(dir + "/team2.sock")
		_ = cmd.Process.Signal(sig)
		rest, _ := io.ReadAll(lines)
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != want || len(rest) != 0 {
			t.Errorf("%v: exit code %d, want %d; stderr %q", sig, got, want, rest)
		}
	}
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v %s", err, res.Status)
	}
	return string(b)
}

// leaveSocket makes a socket as a process leaves it that was killed.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Close(fd)
}

func TestScrapeAddress(t *testing.T) {
	for text, want := range map[string]string{
		scrapesAt: scrapesAt, "9000": "127.0.0.1:9000", ":9000": "127.0.0.1:9000", "0.0.0.0:9000": "0.0.0.0:9000",
		"[::]:9000": "[::]:9000", "[::1]:1": "[::1]:1",
		"": "", "127.0.0.1": "", "host": "", ":": "", "::1": "", "127.0.0.1:99999": "", "127.0.0.1:http": "",
		"a:b:c": "",
	} {
		got, err := scrapeAddress(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
}
