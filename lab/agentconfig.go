package lab

import "fmt"

// hostAgentConfig is the file of every server: nothing in it is the server's
// own but the AS, which the servers share.
func hostAgentConfig(n Node) string {
	return fmt.Sprintf(`as: %d
uplinks: ["eth*"]
announce: [loopback]
allowas_in: 1
listen: 127.0.0.1:9474
`, n.AS)
}
