// Package faults tests system calls that fail or do half of their work, full disks, and the records from which crash states are made.
package faults
