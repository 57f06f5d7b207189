// Package soak tests hours of mixed load with kills and reloads, and books that must balance.
package soak
