SELECT 2 AS session_id
