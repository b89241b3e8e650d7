SELECT session_id FROM {{ ref('sessions') }}
