-- Where everything lies, and which versions of it were installed. Version 1 is the SQL files beside this one, in the order that install.rs
-- has them in. A version is never changed once it was released; what comes later is a version of its own.
CREATE SCHEMA IF NOT EXISTS audit;
CREATE TABLE IF NOT EXISTS audit.migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
