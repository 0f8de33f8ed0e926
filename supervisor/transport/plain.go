package transport

import (
	"strconv"
	"strings"
)

// Plain returns gRPC's message for a connection that failed without gRPC's own words, in one line.
func Plain(message string) string {
	if _, quoted, ok := strings.Cut(message, "desc = "); ok {
		if text, err := strconv.Unquote(quoted); err == nil {
			message = text
		}
	}
	for _, words := range []string{"transport: ", "Error while dialing: "} {
		message = strings.TrimPrefix(message, words)
	}
	return strings.ReplaceAll(message, "\n", " ")
}
