-- Every event of a device is in one session.
{{ config(enabled=has_events()) }}
SELECT
    sessions.events AS events_in_sessions,
    events.events AS events_of_devices
FROM (SELECT coalesce(sum(events), 0) AS events FROM {{ ref('sessions') }}) AS sessions
CROSS JOIN (SELECT count(anonymous_id) AS events FROM {{ ref('person_events') }}) AS events
WHERE sessions.events <> events.events
