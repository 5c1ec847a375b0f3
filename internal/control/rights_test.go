// SPDX-License-Identifier: MIT

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"nicteam/internal/api"
)

// requests has a request for each route: path and body.
var requests = map[string][2]string{
	"GET /v1/status":           {"/v1/status"},
	"GET /v1/rates":            {"/v1/rates?interval=1h"},
	"GET /v1/history":          {"/v1/history?last=1m"},
	"GET /v1/events":           {"/v1/events"},
	"GET /v1/explain":          {"/v1/explain?flow=tcp"},
	"GET /v1/peers":            {"/v1/peers"},
	"GET /metrics":             {"/metrics"},
	"POST /v1/members":         {"/v1/members", `{"names":["eth2"]}`},
	"DELETE /v1/members/{nic}": {"/v1/members/eth2"},
	"PATCH /v1/settings":       {"/v1/settings", `{"hash":"layer2"}`},
	"PUT /v1/config":           {"/v1/config", `{"yaml":"team: team0"}`},
	"DELETE /v1/team":          {"/v1/team"},
	"POST /v1/confirm":         {"/v1/confirm"},
	"POST /v1/revert":          {"/v1/revert"},
	"POST /v1/stop":            {"/v1/stop", `{"handover":true}`},
}

// asksEveryRoute makes each request as whoever this process is, and prints the exit codes.
func asksEveryRoute(path string) int {
	for _, rt := range (&Server{}).table() {
		request := requests[rt.method+" "+rt.path]
		var body any
		if request[1] != "" {
			body = json.RawMessage(request[1])
		}
		c := NewClient(filepath.Dir(path), "team0")
		ctx := context.Background()
		res, err := c.send(ctx, rt.method, request[0], body)
		switch {
		case err != nil:
			err = c.problem(ctx, err)
		case res.StatusCode != http.StatusOK:
			b, _ := io.ReadAll(res.Body)
			err = c.answeredProblem(res, b)
		}
		fmt.Println(rt.method, rt.path, code(err))
	}
	return 0
}

// TestRightsOfEveryRoute: root does everything, a member of the socket's group reads, a stranger gets nothing, and
// never hears that there is no team. Each change is logged with who asked.
func TestRightsOfEveryRoute(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	const group = 4243
	f := &fake{}
	var mu sync.Mutex
	var log bytes.Buffer
	dir := t.TempDir()
	if err := os.Chown(dir, 0, group); err != nil {
		t.Fatal(err)
	}
	openWay(t, filepath.Dir(dir))
	if err := os.Chmod(dir, 0o750|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	serveAt(t, dir, f, Options{Log: slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil))})
	var may, reads, nothing strings.Builder
	changes := 0
	for _, rt := range (&Server{}).table() {
		name := rt.method + " " + rt.path
		if _, ok := requests[name]; !ok {
			t.Fatalf("no request of %s in this test", name)
		}
		code := 0
		if rt.write {
			code = int(api.NotPermitted)
			changes++
		}
		fmt.Fprintln(&may, name, 0)
		fmt.Fprintln(&reads, name, code)
		fmt.Fprintln(&nothing, name, int(api.NotPermitted))
	}
	if changes == 0 || changes == len(requests) {
		t.Fatalf("%d of %d routes change something", changes, len(requests))
	}
	for _, who := range []struct {
		name     string
		uid, gid uint32
		want     string
		calls    int
	}{
		{"a stranger", nobody, nobody, nothing.String(), 0},
		{"a member", nobody, group, reads.String(), 0},
		{"root", 0, 0, may.String(), changes},
	} {
		if got := asUser(t, who.uid, who.gid, "CONTROL_TEST_ROUTES="+filepath.Join(dir, "team0.sock")); got+"\n" !=
			who.want {
			t.Errorf("%s gets\n%s\nwant\n%s", who.name, got, who.want)
		}
		if n := len(f.called()); n != who.calls {
			t.Errorf("after %s the team was changed %d times, want %d", who.name, n, who.calls)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	text := log.String()
	if n := strings.Count(text, "change asked for"); n != changes || n != strings.Count(text, " uid=0 pid=") {
		t.Errorf("%d changes, logged are\n%s", changes, text)
	}
}
