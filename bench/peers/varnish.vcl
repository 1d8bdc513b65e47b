# Varnish before a server: everything is cached for a day, in memory.
vcl 4.1;

backend origin {
    .host = "@ORIGIN_HOST@";
    .port = "@ORIGIN_PORT@";
}

# The built-in rules would look at cookies and authorisation first; there are none.
sub vcl_recv {
    return (hash);
}

sub vcl_backend_response {
    set beresp.ttl = 1d;
    return (deliver);
}
