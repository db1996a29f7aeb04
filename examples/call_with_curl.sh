#!/bin/sh
# Asks a Shelftalk Space with curl: the first request gives an event id, the second one streams what is written.
#
#     sh call_with_curl.sh http://127.0.0.1:7860 "What is Muvoson Tray?"
#
# A private Space also wants -H "Authorization: Bearer $HF_TOKEN", in both.
set -eu
url="${1%/}/gradio_api/call/v2/answer"
question=$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')
event=$(curl --silent --show-error --fail "$url" -H 'Content-Type: application/json' -d "{\"question\": \"$question\"}")
curl --silent --show-error --fail --no-buffer "$url/$(echo "$event" | cut -d '"' -f 4)"
