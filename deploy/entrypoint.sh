#!/bin/sh
# The container's command. `run` serves from the cache alone, so the model is fetched before, however long that takes;
# it ends at once when the model is there. The mark tells the health check that this is no hanging process.
mark=/var/lib/maskcast/fetching
if [ "$1" = run ]; then
    shift
    : >"$mark"
    fetching='' stopped=''
    # The first process of a container gets no signal that it does not ask for.
    trap 'stopped=1; [ -z "$fetching" ] || kill "$fetching"' INT TERM
    maskcast fetch "$@" &
    fetching=$!
    [ -z "$stopped" ] || kill "$fetching"
    wait "$fetching"
    code=$?
    rm -f "$mark"
    [ "$code" = 0 ] || exit "$code"
    trap - INT TERM
    set -- run "$@"
fi
exec maskcast "$@"
