package sshkey

import "testing"

// ForTest makes a key of a kind for a test, and writes its private half if there is a path.
func ForTest(t testing.TB, kind, path string) Key {
	t.Helper()
	k, err := New(kind)
	if err == nil && path != "" {
		err = k.Write(path, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}
