CREATE TABLE IF NOT EXISTS "sluice_checkpoints" (
	"sink" text NOT NULL,
	"shard" text NOT NULL,
	"lane" integer NOT NULL,
	"incarnation" text NOT NULL,
	"position" bigint NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "sluice_checkpoints_sink_shard_lane_incarnation_pk" PRIMARY KEY("sink","shard","lane","incarnation")
);
--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "epoch" bigint DEFAULT 0 NOT NULL;