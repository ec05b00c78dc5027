package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"testing"
)

// TestDetachAsksTheSocketThatWasNamed: whatever is pinned where the command runs.
func TestDetachAsksTheSocketThatWasNamed(t *testing.T) {
	socket := t.TempDir() + "/socket"
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/repair/detach" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode([]string{r.URL.Query().Get("link")})
	})}
	go server.Serve(l)
	defer server.Close()
	cmd := repairCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"detach", "eth0", "--socket", socket})
	if err := cmd.ExecuteContext(t.Context()); err != nil || out.String() != "eth0 detached\n" {
		t.Errorf("%q, %v", &out, err)
	}
}
