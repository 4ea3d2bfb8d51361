#error "<hiredis/async.h> is out of reach of actors: adapters talk to Redis"
