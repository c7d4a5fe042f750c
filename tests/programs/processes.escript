#!/usr/bin/escript
%% Processes on several schedulers, messages, garbage, timers, a port, distribution of work.
main(_) ->
    Schedulers = erlang:system_info(schedulers_online),
    io:format("schedulers ~p~n", [Schedulers]),
    %% A ring of processes that passes a token around.
    Self = self(),
    Last = lists:foldl(fun(_, Next) -> spawn(fun() -> forward(Next) end) end, Self,
                       lists:seq(1, 1000)),
    Last ! {token, 0},
    receive {token, N} -> io:format("ring ~p~n", [N]) end,
    %% Work in parallel, with garbage.
    Parts = [spawn_monitor(fun() -> exit({sum, work(Seed)}) end) || Seed <- lists:seq(1, 8)],
    Sums = [receive {'DOWN', Ref, process, Pid, {sum, S}} -> S end || {Pid, Ref} <- Parts],
    io:format("sums ~p~n", [lists:sum(Sums)]),
    %% Timers in order.
    [erlang:send_after(Ms, Self, {timer, Ms}) || Ms <- [300, 10, 150]],
    io:format("timers ~p~n", [[receive {timer, Ms} -> Ms end || _ <- [1, 2, 3]]]),
    io:format("shell ~s", [os:cmd("echo $((6 * 7))")]),
    ok = file:write_file("/tmp/erlang", <<"kept">>),
    {ok, Kept} = file:read_file("/tmp/erlang"),
    io:format("file ~s~n", [Kept]),
    halt(5).

forward(Next) ->
    receive {token, N} -> Next ! {token, N + 1} end.

work(Seed) ->
    Lists = [lists:seq(1, 1000) || _ <- lists:seq(1, 100)],
    lists:sum([lists:sum(L) * Seed || L <- Lists]).
