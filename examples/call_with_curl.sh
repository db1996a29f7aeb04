#!/bin/sh
# Ask a Shelftalk Space with curl. The first request returns an event id, the second streams the answers.
#
#     sh call_with_curl.sh http://127.0.0.1:7860 "What is Muvoson Tray?"
#
# A private Space also needs -H "Authorization: Bearer $HF_TOKEN" in both.
set -eu
url="${1%/}/gradio_api/call/v2/answer"
question=$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')
event=$(curl --silent --show-error --fail "$url" -H 'Content-Type: application/json' -d "{\"question\": \"$question\"}")
curl --silent --show-error --fail --no-buffer "$url/$(echo "$event" | cut -d '"' -f 4)"
