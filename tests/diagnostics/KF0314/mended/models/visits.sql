SELECT session_id FROM {{ ref('web', 'sessions') }}
