// Package junos simulates a Junos leaf.
package junos
